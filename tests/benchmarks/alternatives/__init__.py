"""What do people use instead, and what becomes of the same messages with each of them?"""
