"""Quality: judges a window as a whole before it may leave; people decide about what is withheld."""
