"""Which tasks share how much of one network: Mainstream (Jiang et al., USENIX ATC 2018), model and planner. Pure."""
