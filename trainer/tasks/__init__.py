"""Tasks fine-tuned from one network at several depths, measured on streams of scenes and published as a package."""
