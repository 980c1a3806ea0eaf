"""Would each connector deliver?"""
