"""The page in a classroom: addresses that phones reach, a link that lasts, the lecturer's panel."""
