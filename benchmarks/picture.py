"""Draws the comparison: for each figure, the cost of each client as a share of segment's, on a logarithmic scale.

python picture.py FILE.svg < figures.json      {"title": {"ours": 0.1, "segment": 1, ...}, ...}
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "analytics_client"  # the same picture for the same figures
from matplotlib import pyplot

COLORS = {"segment": "#52bd95", "rudder": "#7c6bf0", "posthog": "#f0a800", "floor": "#9aa0a6", "ours": "#d6336c"}

figures = json.load(sys.stdin)
height = 0.16
figure, axes = pyplot.subplots(figsize=(9, 0.8 + 0.9 * len(figures)))
for row, costs in enumerate(figures.values()):
    for place, name in enumerate(COLORS):
        if name in costs:
            y = row + (place - 2) * height
            axes.barh(y, costs[name], height=height * 0.9, color=COLORS[name], label=name if not row else None)
            axes.text(costs[name] * 1.04, y, f"{costs[name]:.2g}", va="center", fontsize=7)
axes.set_yticks(range(len(figures)), list(figures), fontsize=9)
axes.set_xscale("log")
axes.invert_yaxis()
axes.axvline(1, color="#333", linewidth=0.8)
axes.set_xlabel("cost, as a share of segment-analytics-python's (less is better)")
axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1 + 0.9 / len(figures)), ncols=5, frameon=False)
axes.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
figure.savefig(sys.argv[1], metadata={"Date": None})
