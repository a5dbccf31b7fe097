"""Who talks to whom: skills, the plan, the live board."""
