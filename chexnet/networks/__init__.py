"""Networks from elsewhere: what is published, how it is read, what it has seen."""
