"""Makes the data of the examples that are not tables of others: python examples/make_data.py

It needs NumPy. The files are the same every time, and are in the repository.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def trips(rows=4000, stations=60):
    """How many minutes a trip takes: the distance of two stations, and the hour of the day."""
    random = np.random.default_rng(1)
    places = random.uniform(0, 10, (stations, 2))
    names = np.array([f"{letter}{number}" for letter in "ABCDEF" for number in range(10)])
    start, end = random.integers(stations, size=(2, rows))
    hour = random.integers(5, 24, rows)
    rush = np.exp(-((hour - 8) ** 2) / 4) + np.exp(-((hour - 17) ** 2) / 6)
    distance = np.hypot(*(places[start] - places[end]).T)
    minutes = 4 + 3 * distance * (1 + 0.6 * rush) + random.normal(0, 1, rows)
    table = zip(names[start], names[end], hour, minutes, strict=True)
    lines = [f"{a},{b},{at},{time:.1f}" for a, b, at, time in table]
    (HERE / "trips.csv").write_text("\n".join(["start,end,hour,minutes", *lines]) + "\n")


def events(rows=600, length=12):
    """Two events at different times. The class says which one came first."""
    random = np.random.default_rng(2)
    times = np.array([random.permutation(length)[:2] for _ in range(rows)])
    series = np.zeros((rows, length, 2), np.uint8)
    series[np.arange(rows), times[:, 0], 0] = 1
    series[np.arange(rows), times[:, 1], 1] = 1
    np.savez_compressed(HERE / "events.npz", events=series, first=(times[:, 0] > times[:, 1]).astype(np.uint8))


def tokens(rows=400, context=12, vocabulary=7):
    """Each token is the sum of the two before it; one in ten is drawn at random."""
    random = np.random.default_rng(3)
    sequences = random.integers(vocabulary, size=(rows, context + 1))
    is_random = random.random(sequences.shape) < 0.1
    for i in range(2, context + 1):
        known = (sequences[:, i - 1] + sequences[:, i - 2]) % vocabulary
        sequences[:, i] = np.where(is_random[:, i], sequences[:, i], known)
    sequences = sequences.astype(np.uint8)
    np.savez_compressed(HERE / "tokens.npz", tokens=sequences[:, :-1], next=sequences[:, 1:])


def digits():
    """The images and labels of digits.csv."""
    table = np.loadtxt(HERE / "digits.csv", delimiter=",", skiprows=1, dtype=np.uint8)
    np.savez_compressed(HERE / "digits.npz", images=table[:, :64].reshape(-1, 8, 8), labels=table[:, 64])


def faint_digits(rows=660):
    """Half as dark, and moved down by a pixel. One in eleven trains: 60 images."""
    table = np.loadtxt(HERE / "digits.csv", delimiter=",", skiprows=1, dtype=np.uint8)[:rows]
    images = np.roll(table[:, :64].reshape(-1, 8, 8), 1, axis=1) // 2
    validates = (np.arange(rows) % 11 != 0).astype(np.uint8)
    np.savez_compressed(HERE / "digits-faint.npz", images=images, labels=table[:, 64], validates=validates)


def reviews(rows=900):
    """What guests write of a hotel, and whether they would come again. "Not" turns a word around."""
    random = np.random.default_rng(4)
    things = ["room", "bed", "breakfast", "staff", "view", "bath", "lobby", "price", "garden", "coffee"]
    good = ["clean", "lovely", "quiet", "friendly", "bright", "fresh", "generous", "splendid"]
    bad = ["dirty", "noisy", "rude", "dark", "stale", "broken", "shabby", "awful"]
    lines = []
    while len(lines) < rows:
        said, score = [], 0
        for thing in random.permutation(things)[: random.integers(1, 5)]:
            is_good, is_turned = random.random(2) < [0.5, 0.3]
            word = random.choice(good if is_good else bad)
            said.append(f"The {thing} was {'not ' if is_turned else ''}{random.choice(['', 'very ', 'rather '])}{word}.")
            score += 1 if is_good != is_turned else -1
        if score != 0:
            lines.append(f"{' '.join(said)},{'yes' if score > 0 else 'no'}")
    (HERE / "reviews.csv").write_text("\n".join(["review,again", *lines]) + "\n")


if __name__ == "__main__":
    trips()
    events()
    tokens()
    digits()
    faint_digits()
    reviews()
