"""Draws the sample network beside this file. Everything is invented; the seed is fixed.

Honest: families on one device, an office on one address, an ambassador whose friends come over
months, singles. Bad: rings that come within hours, spend the same, share devices and refer each
other; some of their members also use the office's address, as camouflage.
"""
import csv
import random

random.seed(20260101)
DAY = 86_400
START = 1_700_000_000
members, links, labels = [], [], []


def member(joined, purchases, spend, refunds, bad, source="", group=-1):
    name = f"p{len(members):04}"
    members.append([name, joined, purchases, spend, refunds])
    labels.append([name, int(bad), source, group])
    return name


def honest(joined, group=-1):
    purchases = random.randint(2, 30)
    spend = int(purchases * random.lognormvariate(8, 0.8))
    return member(joined, purchases, spend, int(random.random() < 0.1), False, "", group)


def when():
    return START + random.randrange(360 * DAY)


office = [honest(when()) for _ in range(60)]
for one in office:
    links.append([one, "office-address", "address", ""])
for number in range(60):
    group = number if number < 30 else -1
    family = [honest(START + random.randrange(360 * DAY), group) for _ in range(random.randint(2, 4))]
    for one in family:
        links.append([one, f"home-device-{number}", "device", ""])
    links.append([family[0], family[1], "referral", ""])
for number in range(4):
    ambassador = honest(when())
    for _ in range(20):
        friend = honest(when())
        links.append([ambassador, friend, "referral", ""])
        links.append([friend, f"own-device-{friend}", "device", ""])
for number in range(24):
    size, at, spend = random.randint(5, 14), when(), random.randint(500, 5_000)
    ring = []
    for place in range(size):
        joined = at + random.randrange(12 * 3_600)
        paid = int(spend * random.uniform(0.97, 1.03))
        source = "component" if number % 3 else "reported"
        ring.append(member(joined, 1, paid, int(random.random() < 0.3), True, source, 100 + number))
    for place, one in enumerate(ring):
        links.append([one, f"farm-device-{number}-{place // 4}", "device", ""])
        links.append([ring[0], one, "referral", ""] if place else [ring[-1], one, "referral", ""])
        if random.random() < 0.2:
            links.append([one, "office-address", "address", ""])
for _ in range(150):
    one = honest(when())
    links.append([one, f"own-device-{one}", "device", ""])

random.shuffle(links)
for name, header, rows in [
    ("links.csv", ["from", "to", "kind", "at"], links),
    ("members.csv", ["member", "joined_at", "purchases", "spend_minor", "refunds"], members),
    ("labels.csv", ["member", "label", "source", "group"], labels),
]:
    with open(name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
