"""The book, and the program that writes its page of options."""
