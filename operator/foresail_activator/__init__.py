"""Holds the connections of models without a ready replica, wakes the model, and hands them on."""
