"""Bodies of the scheduler job's tasks, in a module of their own so that they travel by reference."""


def constant(value):
    return value


def increment(value):
    return value + 1


def add(a, b):
    return a + b


def add3(a, b, c):
    return (a + b + c) % 1_000_003
