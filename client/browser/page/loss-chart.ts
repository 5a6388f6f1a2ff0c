/** A line of losses, one point per report, drawn as SVG so that it takes the page's colours and scales with its text. */

const WIDTH = 640;
const HEIGHT = 180;
const MARGIN = 8;
const NAMESPACE = 'http://www.w3.org/2000/svg';

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Positions of the losses in the chart's own units; the range always holds all of them. */
export function chartPoints(losses: readonly number[]): readonly Point[] {
  const low = Math.min(...losses);
  const high = Math.max(...losses);
  const span = high - low || 1;
  const step = losses.length > 1 ? (WIDTH - 2 * MARGIN) / (losses.length - 1) : 0;
  return losses.map((loss, i) => ({
    x: MARGIN + i * step,
    y: high === low ? HEIGHT / 2 : MARGIN + ((high - loss) / span) * (HEIGHT - 2 * MARGIN),
  }));
}

const pathOf = (points: readonly Point[]): string =>
  points.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');

/** What the chart says, for those who cannot see it. */
export const chartWords = (losses: readonly number[]): string =>
  losses.length === 0
    ? 'No loss yet'
    : `Loss of ${losses.length} rounds: ${losses[0]!.toPrecision(4)} at first, ${losses.at(-1)!.toPrecision(4)} now`;

/** Draws `losses` into `svg`, replacing what was there. */
export function drawLosses(svg: SVGSVGElement, losses: readonly number[]): void {
  svg.setAttribute('aria-label', chartWords(losses));
  if (losses.length === 0) {
    svg.replaceChildren();
    return;
  }
  const points = chartPoints(losses.length === 1 ? [losses[0]!, losses[0]!] : losses);
  const line = document.createElementNS(NAMESPACE, 'path');
  line.setAttribute('d', pathOf(points));
  const area = document.createElementNS(NAMESPACE, 'path');
  area.setAttribute('class', 'area');
  area.setAttribute('d', `${pathOf(points)}L${points.at(-1)!.x} ${HEIGHT}L${points[0]!.x} ${HEIGHT}Z`);
  svg.replaceChildren(area, line);
}
