/**
 * Counters, gauges and histograms in Prometheus' text format.
 *
 * No library is used: the usual one would cost a tenth of a second at the start and
 * 20 MB of memory (measured: prom-client 15.1.3 on Deno 2.9.6).
 *
 * @module
 */

/** One number of a metric. Its user keeps the cell and changes the value. */
export interface Cell {
  /** The present value. */
  value: number;
}

/** The upper bounds of the buckets, in seconds. */
const BUCKETS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30] as const;

/** The labels that every number of a set has, by name. */
export type Labels = Readonly<Record<string, string>>;

/** A function that takes a number: the name with its labels, and the value. */
export type Take = (series: string, value: number) => void;

/** The label of each bucket, and of the last, which has no bound. */
const BUCKET_LABELS: readonly string[] = [...BUCKETS, "+Inf"].map((le) => pairOf("le", String(le)));

/** A counter or gauge: a number, or one for each set of labels. */
export class Family {
  /** The name with its prefix. */
  readonly name: string;
  /** The lines before its numbers. */
  readonly head: string;
  readonly #constant: readonly string[];
  readonly #labels: readonly string[];
  readonly #cells = new Map<string, Cell>();

  /**
   * Creates a metric. Without labels of its own, it has one number, 0; with labels, it has none yet.
   *
   * @param constant labels that every number gets
   */
  constructor(
    name: string,
    help: string,
    kind: "counter" | "gauge",
    labels: readonly string[],
    constant: Labels = {},
  ) {
    this.name = name;
    this.head = headOf(name, help, kind);
    this.#constant = pairsOf(constant);
    this.#labels = labels;
    if (labels.length === 0) this.cell();
  }

  /** Returns the number for these values of the labels; a new number is 0. */
  cell(...values: readonly string[]): Cell {
    const pairs = this.#labels.map((label, i) => pairOf(label, values[i]!));
    const key = bracketed([...this.#constant, ...pairs]);
    const known = this.#cells.get(key);
    if (known) return known;
    const cell = { value: 0 };
    this.#cells.set(key, cell);
    return cell;
  }

  /** Removes every number, so that only those that are set again are rendered. */
  clear(): void {
    this.#cells.clear();
  }

  /** Passes its numbers to a function. */
  samples(take: Take): void {
    for (const [labels, { value }] of this.#cells) take(this.name + labels, value);
  }
}

/** A histogram of durations. */
export class Histogram {
  /** The name with its prefix. */
  readonly name: string;
  /** The lines before its numbers. */
  readonly head: string;
  readonly #constant: readonly string[];
  /** The number of durations in each bucket, without those in the buckets before it. */
  readonly #counts: number[] = [...BUCKETS, 0].fill(0);
  #sum = 0;

  /**
   * Creates a histogram without durations.
   *
   * @param constant labels that every number gets
   */
  constructor(name: string, help: string, constant: Labels = {}) {
    this.name = name;
    this.head = headOf(name, help, "histogram");
    this.#constant = pairsOf(constant);
  }

  /** Adds a duration in seconds. */
  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > BUCKETS[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#sum += seconds;
  }

  /** Passes its numbers to a function. */
  samples(take: Take): void {
    let count = 0;
    const before = `${this.name}_bucket{${this.#constant.map((pair) => `${pair},`).join("")}`;
    for (const [bucket, label] of BUCKET_LABELS.entries()) {
      count += this.#counts[bucket]!;
      take(`${before}${label}}`, count);
    }
    const labels = bracketed(this.#constant);
    take(`${this.name}_sum${labels}`, this.#sum);
    take(`${this.name}_count${labels}`, count);
  }
}

/** A set of metrics. Its methods take names without the common prefix `qmpmux_`. */
export class Metrics {
  readonly #labels: Labels;
  readonly #all: (Family | Histogram)[] = [];

  /** Returns sets of metrics in Prometheus' text format; see {@linkcode MetricsText}. */
  static render(sets: Iterable<Metrics>): string {
    const text = new MetricsText();
    for (const set of sets) text.add(set);
    return [...text.parts()].join("");
  }

  /**
   * Creates an empty set.
   *
   * @param labels labels that every number gets
   */
  constructor(labels: Labels = {}) {
    this.#labels = labels;
  }

  /** Adds a counter; `name` ends in `_total`. */
  counter(name: string, help: string, ...labels: readonly string[]): Family {
    return this.#add(new Family(`qmpmux_${name}`, help, "counter", labels, this.#labels));
  }

  /** Adds a gauge. */
  gauge(name: string, help: string, ...labels: readonly string[]): Family {
    return this.#add(new Family(`qmpmux_${name}`, help, "gauge", labels, this.#labels));
  }

  /** Adds a histogram of seconds; `name` ends in `_seconds`. */
  histogram(name: string, help: string): Histogram {
    return this.#add(new Histogram(`qmpmux_${name}`, help, this.#labels));
  }

  /** The metrics, in the order in which they were added. */
  get all(): readonly (Family | Histogram)[] {
    return this.#all;
  }

  #add<F extends Family | Histogram>(family: F): F {
    if (this.#all.some(({ name }) => name === family.name)) {
      throw new Error(`There are two metrics named ${family.name}`);
    }
    this.#all.push(family);
    return family;
  }
}

/** The lines of a part of a text. */
const PART_LINES = 256;

/**
 * Sets of metrics in Prometheus' text format, version 0.0.4.
 *
 * Metrics of one name become one, and equal series are added up. Other work may be done between two
 * sets, and between two parts of the text.
 */
export class MetricsText {
  readonly #merged = new Map<string, { head: string; samples: Map<string, number> }>();

  /** Adds the present numbers of a set. */
  add(set: Metrics): void {
    for (const family of set.all) {
      const { name, head } = family;
      let into = this.#merged.get(name);
      if (!into) this.#merged.set(name, into = { head, samples: new Map() });
      const { samples } = into;
      family.samples((series, value) => samples.set(series, (samples.get(series) ?? 0) + value));
    }
  }

  /** Yields the text in parts. */
  *parts(): Generator<string> {
    let [text, lines] = ["", 0];
    for (const { head, samples } of this.#merged.values()) {
      text += head;
      for (const [series, value] of samples) {
        text += `${series} ${value}\n`;
        if (++lines % PART_LINES > 0) continue;
        yield text;
        text = "";
      }
    }
    yield text;
  }
}

function headOf(name: string, help: string, kind: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
}

function pairsOf(labels: Labels): readonly string[] {
  return Object.entries(labels).map(([label, value]) => pairOf(label, value));
}

function pairOf(label: string, value: string): string {
  return `${label}="${escaped(value)}"`;
}

function bracketed(pairs: readonly string[]): string {
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
