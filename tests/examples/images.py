"""A small data set in the files of MNIST."""

PIXELS, IMAGES = 28 * 28, {"train": 600, "t10k": 100}


def write_data(folder):
    """A small data set: image i shows a bright row 2 * (i % 10), its label is i % 10."""
    for part, count in IMAGES.items():
        images = bytearray(PIXELS * count)
        for i in range(count):
            start = i * PIXELS + 56 * (i % 10) + 28
            images[start:start + 28] = bytes([200 + i % 50] * 28)
        header = count.to_bytes(4, "big")
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            b"\0\0\x08\x03" + header + (28).to_bytes(4, "big") * 2 + images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + header + bytes(i % 10 for i in range(count)))
