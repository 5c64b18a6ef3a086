/**
 * The shapes of the timeline: bars of commands, and marks of events, connections and damage.
 *
 * @module
 */

/** The height of a bar, its least width, and the least distance of marks, in pixels. */
export const BAR = 12;
export const LEAST_BAR = 2.5;
export const LEAST_MARK = 5;

/** @typedef {import("./model.js").Row} Row */
/** @typedef {import("./palette.js").Palette} Palette */

/**
 * Something to paint.
 *
 * @typedef {{ context: CanvasRenderingContext2D, palette: Palette, view: import("./view.js").View, width: number,
 *   height: number, labels: number, scroll: number, selected: number, hovered: number,
 *   matches: Uint8Array | undefined }} Scene
 */

/**
 * Returns the place of a time.
 *
 * @param {Scene} scene
 * @param {number} t
 */
export function placeOf({ view, width, labels }, t) {
  return labels + (t - view.from) / (view.to - view.from) * (width - labels);
}

/**
 * Paints a command: first the time that it waited, then the time that it ran.
 *
 * @param {Scene} scene
 * @param {Row} row
 * @param {{ x: number, end: number, y: number, isFailed: boolean }} bar
 */
export function command(scene, row, { x, end, y, isFailed }) {
  const { context, palette } = scene;
  const left = Math.max(x, scene.labels - 8);
  const right = Math.min(end, scene.width + 8);
  const colour = isFailed ? palette.error : row.r === undefined ? palette.own : palette.run;
  const runs = Math.min(Math.max(placeOf(scene, row.t + (row.w ?? 0)), left), right - LEAST_BAR);
  if (row.x === "n") {
    context.strokeStyle = colour;
    context.lineWidth = 1.2;
    context.setLineDash([3, 2]);
    context.strokeRect(left + 0.5, y + 0.5, Math.max(right - left - 1, 1), BAR - 1);
    context.setLineDash([]);
  } else if (row.r === undefined) {
    // qmpmux answered it: a lower bar.
    bar(context, colour, left, y + 3, right - left, BAR - 6);
  } else {
    if (runs - left >= 1) bar(context, palette.hatch, left, y + 1, runs - left, BAR - 2);
    bar(context, colour, runs, y, Math.max(right - runs, LEAST_BAR), BAR);
  }
  if (isFailed && row.x !== "n") cross(context, palette, right + 5, y + BAR / 2);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string | CanvasPattern} colour
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
function bar(context, colour, x, y, width, height) {
  context.fillStyle = colour;
  if (width < 5) return context.fillRect(x, y, width, height);
  context.beginPath();
  context.roundRect(x, y, width, height, 2);
  context.fill();
}

/**
 * Paints the cross behind an error.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Palette} palette
 * @param {number} x
 * @param {number} y
 */
function cross(context, palette, x, y) {
  context.strokeStyle = palette.error;
  context.lineWidth = 1.8;
  context.beginPath();
  context.moveTo(x - 2.5, y - 2.5);
  context.lineTo(x + 2.5, y + 2.5);
  context.moveTo(x + 2.5, y - 2.5);
  context.lineTo(x - 2.5, y + 2.5);
  context.stroke();
}

/** The shapes of marks, as points around their middle. */
const SHAPES = /** @type {Record<string, [number, number][]>} */ ({
  e: [[0, -5], [5, 0], [0, 5], [-5, 0]],
  "+": [[-3, -5], [4, 0], [-3, 5]],
  "-": [[3, -5], [-4, 0], [3, 5]],
  g: [[-3, -5], [4, 0], [-3, 5]],
  d: [[0, -5], [5, 4], [-5, 4]],
});

/**
 * Paints an event, a connection or damage.
 *
 * @param {Scene} scene
 * @param {Row} row
 * @param {number} x
 * @param {number} y
 */
export function mark({ context, palette }, row, x, y) {
  context.fillStyle = row.k === "e"
    ? palette.event
    : row.k === "d"
    ? palette.error
    : palette.connect;
  context.beginPath();
  for (const [right, down] of SHAPES[row.k] ?? []) context.lineTo(x + right, y + down);
  context.closePath();
  context.fill();
}
