"""The project's commands, where Django looks for them."""
