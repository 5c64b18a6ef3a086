/**
 * The colours of the canvas, which are those of the style sheet, and its patterns.
 *
 * @module
 */

const NAMES = /** @type {const} */ ([
  "surface",
  "raised",
  "line",
  "grid",
  "text",
  "muted",
  "run",
  "wait",
  "own",
  "error",
  "event",
  "connect",
  "accent",
  "hover",
]);

/** @typedef {Record<typeof NAMES[number], string> & { hatch: CanvasPattern | string }} Palette */

/**
 * Reads the colours that apply now.
 *
 * @returns {Palette}
 */
export function readPalette() {
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const pairs = NAMES.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, style.color];
  });
  probe.remove();
  const palette = Object.fromEntries(pairs);
  return { ...palette, hatch: hatchOf(palette.wait) };
}

/**
 * Makes the pattern of waiting: slanted lines, which are told from a bar without seeing colours.
 *
 * @param {string} colour
 * @returns {CanvasPattern | string}
 */
function hatchOf(colour) {
  const size = 6;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size * 2;
  const context = tile.getContext("2d");
  if (!context) return colour;
  context.scale(2, 2);
  context.globalAlpha = 0.25;
  context.fillStyle = colour;
  context.fillRect(0, 0, size, size);
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 1.6;
  context.beginPath();
  for (const shift of [-size, 0, size]) {
    context.moveTo(shift - 1, size + 1);
    context.lineTo(shift + size + 1, -1);
  }
  context.stroke();
  const pattern = context.createPattern(tile, "repeat");
  pattern?.setTransform(new DOMMatrix().scale(0.5));
  return pattern ?? colour;
}
