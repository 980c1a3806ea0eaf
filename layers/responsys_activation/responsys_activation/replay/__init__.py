"""Which dead letters go back?"""
