/**
 * Parts that all plots share: colours for light and dark pages, text, and the frame.
 *
 * @module
 */

const STYLE = `
  .page { fill: #ffffff; }
  text { fill: #1c2429; }
  .small { fill: #4a5760; }
  .grid { stroke: #dde3e7; }
  .line { fill: none; stroke-width: 2; }
  .thin { stroke-width: 1.2; }
  .dashed { stroke-dasharray: 7 4; }
  .dotted { stroke-dasharray: 2 4; }
  .hollow { fill: #ffffff; stroke-width: 2; }
  .blue { stroke: #0b6e99; }
  .orange { stroke: #b4500b; }
  .grey { stroke: #6b7780; }
  .blue-dot { fill: #0b6e99; }
  .orange-dot { fill: #b4500b; }
  @media (prefers-color-scheme: dark) {
    .page, .hollow { fill: #15191c; }
    text { fill: #e8edf0; }
    .small { fill: #b4c0c8; }
    .grid { stroke: #343d44; }
    .blue { stroke: #5cb8de; }
    .orange { stroke: #f0985a; }
    .grey { stroke: #9aa6ae; }
    .blue-dot { fill: #5cb8de; }
    .orange-dot { fill: #f0985a; }
  }`;

/** Returns a picture of some parts, with a title for screen readers. */
export function picture(
  width: number,
  height: number,
  title: string,
  parts: readonly string[],
): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `font-family="sans-serif" role="img">\n<title>${title}</title>\n<style>${STYLE}\n</style>\n` +
    `<rect class="page" width="${width}" height="${height}" rx="8"/>\n${
      parts.join("\n")
    }\n</svg>\n`;
}

/** Returns a line of text at a position. */
export function text(
  x: number,
  y: number,
  words: string,
  size: number,
  anchor: "start" | "middle" | "end" = "start",
): string {
  const kind = size < 11 ? ' class="small"' : "";
  return `<text${kind} x="${x.toFixed(0)}" y="${y.toFixed(0)}" font-size="${size}" ` +
    `text-anchor="${anchor}">${words}</text>`;
}
