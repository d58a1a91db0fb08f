"""The decision where tickets differ: who is there (`crowd`), who may share a batch (`companies`), the step."""
