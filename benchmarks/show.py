"What `run.py` found, as text and as plots. Needs the report alone (a dict, as in the JSON file); the plots need matplotlib."
import math
from pathlib import Path

LOOKS = {"hand-written": ("black", "o"), "autodiffnb": ("tab:red", "s"), "autodiffnb, compiled": ("tab:pink", "D"), "JAX": ("tab:blue", "^"),
         "JAX, eager": ("tab:cyan", "v"), "PyTorch": ("tab:orange", "x"), "MyGrad": ("tab:green", "+"), "HIPS autograd": ("tab:purple", "*")}


def text_table(rows):
    "Lists of text, the first one the head, as aligned lines."
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip() for row in rows)

def markdown_table(rows):
    "The same in Markdown."
    line = lambda row: "| " + " | ".join(row) + " |"
    return "\n".join([line(rows[0]), "|---" + "|---:" * (len(rows[0]) - 1) + "|", *map(line, rows[1:])])

def columns(report):
    "The variants that took part in any job, in the order of the report."
    return [v for v in report["variants"] if any(v in job["milliseconds"] for job in report["jobs"])]

def digits(x, n=3):
    "`x` with `n` digits that count, no exponent."
    return f"{x:,.{max(0, n - 1 - math.floor(math.log10(abs(x))))}f}" if x else "0"

def times(report):
    "Milliseconds of each job and variant: medians over the rounds."
    names = columns(report)
    return [["milliseconds", *names]] + [[job["job"], *[digits(job["milliseconds"][v][1]) if v in job["milliseconds"] else "-" for v in names]] for job in report["jobs"]]

def ratios(report):
    "The same as ratios to hand-written NumPy in the same round."
    names = [v for v in columns(report) if v != "hand-written"]
    return [["time / hand-written", *names]] + [[job["job"], *[f"{job['ratios'][v][1]:.2f}" if v in job["ratios"] else "-" for v in names]] for job in report["jobs"]]

def goals(report):
    "What was asked for, and what was found."
    rows = [["goal", "at most", "found", "middle half", "met"]]
    for job in report["jobs"]:
        for g in job["goals"]:
            low, ratio, high = g["ratio"]
            rows.append([f"{job['job']}: {g['who']} / {g['than']}", f"{g['asked']:.2f}", f"{ratio:.3f}", f"{low:.2f} to {high:.2f}", "yes" if ratio <= g["asked"] else "no"])
        for who, asked in job["memory_asked"].items():
            if who in job["peak_bytes"]:
                ratio = job["peak_bytes"][who] / job["peak_bytes"]["hand-written"]
                rows.append([f"{job['job']}: peak memory, {who} / hand-written", f"{asked:.2f}", f"{ratio:.2f}", "", "yes" if ratio <= asked else "no"])
    return rows

def memory(report):
    "Kilobytes that a step holds at its peak, above what was there before: parameters and batch."
    rows = [job for job in report["jobs"] if job["peak_bytes"]]
    names = [v for v in report["variants"] if any(v in job["peak_bytes"] for job in rows)]
    return [["peak of a step, kB", *names]] + [[job["job"], *[digits(job["peak_bytes"][v] / 1000) if v in job["peak_bytes"] else "-" for v in names]] for job in rows]

def slopes(report):
    "How steep each curve is from its middle to its end, on a logarithmic scale: 1 is linear growth."
    rows = [["slope of the upper half", *report["growth"]]]
    for v in report["variants"]:
        cells = [f"{curve[v]['slope']:.2f}" if v in curve and curve[v]["slope"] is not None else "-" for curve in report["growth"].values()]
        if set(cells) != {"-"}: rows.append([v, *cells])
    return rows

WHOLE = "+ checks and ownership: autodiffnb"    # the rung that is the whole step


def rungs(ladder):
    "One ladder: what each thing adds to a step, in microseconds."
    return [[f"batch {ladder['batch']}", "microseconds", "more than before", "middle half"]] + [
        [r["rung"], f"{r['microseconds'][1]:.1f}", f"{r['more'][1]:+.1f}" if i else "", f"{r['more'][0]:+.1f} to {r['more'][2]:+.1f}" if i else ""]
        for i, r in enumerate(ladder["rungs"])]

def calls(report):
    "What a single call costs, in microseconds."
    return [["one call, microseconds", "NumPy", "recorded", "more"]] + [
        [c["call"], f"{c['numpy'][1]:.2f}", f"{c['recorded'][1]:.2f}", f"{c['recorded'][1] - c['numpy'][1]:.2f}"] for c in report["ladder"]["calls"]]

def chains(report):
    "What a node of a chain of numbers costs with the garbage collector and without, in microseconds."
    return [["nodes in a chain", "microseconds each", "without the collector"]] + [[f"{c['nodes']:,}", f"{c['on'][1]:.2f}", f"{c['off'][1]:.2f}"] for c in report["ladder"]["chains"]]

def threads(report):
    "What a BLAS thread for each processor takes, as a ratio to one thread."
    rows = report["threads"]
    names = list(rows[0]["milliseconds"])
    return [[f"time with {rows[0]['threads']} threads / with one", *names, *[f"{v}, beside a busy process" for v in names]]] + [
        [r["job"], *["{1:.2f} ({0:.2f} to {2:.2f})".format(*r[how][v]) for how in ("alone", "beside") for v in names]] for r in rows]

def text(report):
    "Everything, for the terminal."
    parts = [text_table(f(report)) for f in (times, ratios, goals, memory)] if report["jobs"] else []
    if report["growth"]: parts.append(text_table(slopes(report)))
    if report["ladder"]: parts += [*[text_table(rungs(l)) for l in report["ladder"]["ladders"]], text_table(calls(report)), text_table(chains(report))]
    if report["threads"]: parts.append(text_table(threads(report)))
    skipped = [f"skipped: {name}, because {why} is not installed" for name, why in report["skipped"].items()]
    return "\n\n".join([*parts, *["\n".join(skipped)] * bool(skipped)])


def bars(report):
    "A figure: time over hand-written time, for each job and variant."
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter
    names, jobs = [v for v in columns(report) if v != "hand-written"], report["jobs"][::-1]
    far = [max((r[1] for r in job["ratios"].values()), default=1) > 100 for job in jobs]    # these get a scale of their own
    groups = [g for g in ([job for job, f in zip(jobs, far) if f == which] for which in (False, True)) if g]
    figure, axes = plt.subplots(len(groups), figsize=(6, 1 + 0.5 * len(jobs)), dpi=96, layout="constrained", height_ratios=[len(g) + 0.2 for g in groups], squeeze=False)
    plt.close(figure)
    for ax, group in zip(axes.flat, groups):
        for v in names:
            color, marker = LOOKS[v]
            points = [(job["ratios"][v], i) for i, job in enumerate(group) if v in job["ratios"]]
            ax.plot([r[1] for r, _ in points], [i for _, i in points], marker, color=color, label=v, ms=6, ls="")
        ax.axvline(1, color="black", lw=1)
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(FuncFormatter(lambda x, _, shown="235" if high < 30 * low else "": f"{x:g}" if f"{x:e}"[0] in shown else ""))
        ax.set_yticks(range(len(group)), [job["job"] for job in group], fontsize=8)
        ax.set_ylim(-0.6, len(group) - 0.4)
        ax.tick_params(labelsize=8, which="both")
        ax.grid(axis="x", alpha=0.3)
    axes[-1, 0].set_xlabel("time, as a multiple of hand-written NumPy's", fontsize=8)
    axes[0, 0].legend(fontsize=7, ncols=3, loc="lower center", bbox_to_anchor=(0.35, 1.0), frameon=False)
    return figure

def waterfall(report):
    "A figure: the rungs of each ladder, with what each adds to the one before."
    import matplotlib.pyplot as plt
    ladders = report["ladder"]["ladders"]
    figure, axes = plt.subplots(1, len(ladders), figsize=(6, 2.6), dpi=96, layout="constrained", sharey=True, squeeze=False)
    plt.close(figure)
    for ax, ladder in zip(axes.flat, ladders):
        names, times = zip(*[(r["rung"], r["microseconds"][1]) for r in ladder["rungs"]])
        starts = [0, *times[:-1]]
        colors = ["black", *["tab:red" if t >= s else "tab:green" for s, t in zip(starts[1:], times[1:])]]
        ax.barh(range(len(names)), [t - s for s, t in zip(starts, times)], left=starts, color=colors)
        ax.set_yticks(range(len(names)), names, fontsize=8)
        ax.tick_params(labelsize=8)
        ax.set_xlabel("microseconds", fontsize=8)
        ax.set_title(f"batch {ladder['batch']}: {times[names.index(WHOLE)] / times[0]:.2f} of by hand", fontsize=9)
    axes[0, 0].invert_yaxis()
    return figure

def curves(report):
    "A figure: seconds against the number of nodes and of elements, on logarithmic scales."
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, len(report["growth"]), figsize=(6, 3.6), dpi=84, layout="constrained", squeeze=False, sharey=True)
    plt.close(figure)
    for ax, (what, curve) in zip(axes.flat, report["growth"].items()):
        for v in report["variants"]:
            if v in curve: ax.loglog(*zip(*curve[v]["points"]), color=LOOKS[v][0], marker=LOOKS[v][1], ms=4, lw=1, label=v)
        ax.set_xlabel(what, fontsize=8)
        ax.tick_params(labelsize=8)
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel("seconds, forward and backward", fontsize=8)
    lines = {line.get_label(): line for ax in axes.flat for line in ax.get_lines()}
    figure.legend(lines.values(), lines, fontsize=7, frameon=False, ncols=4, loc="outside upper center")
    return figure

def save(report, folder):
    "The plots as files; their names."
    drawn = dict(ratios=(bars, "jobs"), growth=(curves, "growth"), ladder=(waterfall, "ladder"))
    figures = {name: draw(report) for name, (draw, part) in drawn.items() if report[part]}
    for name, figure in figures.items(): figure.savefig(Path(folder) / f"{name}.png")
    return [f"{name}.png" for name in figures]
