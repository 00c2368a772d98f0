"""The survivor's own page: who saw which part when, what is shared until when, and taking it back."""
