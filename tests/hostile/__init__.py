"""What can a producer do to us that means harm, or is broken? Bodies, the law that they cannot break, and a soak."""
