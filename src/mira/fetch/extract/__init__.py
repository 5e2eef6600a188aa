"""What a URL gave, as markdown, HTML or text: bytes in, `Extracted` out, in processes that can be killed."""
