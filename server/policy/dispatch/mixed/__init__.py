"""The decision where tickets differ: who is there (`crowd`), who may share a batch (`groups`), the step."""
