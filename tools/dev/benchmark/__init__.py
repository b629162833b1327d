"""What the backbones cost: exact figures, times in turn, and how near they are to their own arithmetic."""
