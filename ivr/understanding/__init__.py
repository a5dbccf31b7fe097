"""From text to meaning; pure functions without I/O once the texts are loaded."""
