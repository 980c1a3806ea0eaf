"""How does an operator use a stack from the command line?

``responsys-activation`` or ``python -m responsys_activation.cli``. No function imports this room.
"""
