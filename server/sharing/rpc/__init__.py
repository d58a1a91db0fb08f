"""gearshift.v1.Tasks over the front: decode, encode, streams."""
