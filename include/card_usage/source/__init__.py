"""Source: reads a HIS replica feed by feed, within the limits its hospital sets; never writes to it."""
