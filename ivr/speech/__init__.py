"""Speech in (recognisers, end of speech) and speech out (prompts, playout)."""
