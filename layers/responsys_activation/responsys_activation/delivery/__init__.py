"""What happens to a batch of membership messages?"""
