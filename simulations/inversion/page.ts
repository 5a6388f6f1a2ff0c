/** The pictures of the inversion, side by side in one HTML file that opens without a network. */
import { encode } from 'fast-png';
import { escapeHtml } from '../report/html.ts';
import { STYLE } from '../report/style.ts';
import type { InversionResult, Scene } from './experiment.ts';

/** A picture scaled to its own range, as a data URL. */
function picture(values: ArrayLike<number>, [height, width]: readonly [number, number, number]): string {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  const data = Uint8Array.from(values, (x) => (high > low ? Math.round((255 * (x - low)) / (high - low)) : 0));
  const png = encode({ width, height, data, channels: 1, depth: 8 });
  return `data:image/png;base64,${Buffer.from(png).toString('base64')}`;
}

function sceneHtml({ title, pairs, correlation, chance, recovered }: Scene, shape: InversionResult['shape']): string {
  const figures = pairs
    .map(
      (pair) =>
        `<figure><img alt="private image" src="${picture(pair.truth, shape)}"><img alt="best guess" src="${picture(pair.guess, shape)}">` +
        `<figcaption>${pair.correlation.toFixed(2)}</figcaption></figure>`,
    )
    .join('');
  const facts =
    `${(100 * recovered).toFixed(0)} % of the private images recovered · mean correlation with the best guess ${correlation.toFixed(2)}, ` +
    `${chance.toFixed(2)} for images that nobody here holds`;
  return `<section class="${recovered > 0 ? 'leaks' : 'holds'}"><h2>${escapeHtml(title)}</h2><p>${facts}</p><div class="pairs">${figures}</div></section>`;
}

const LOOK = `
.pairs { display:flex; flex-wrap:wrap; gap:1rem; } figure { margin:0; text-align:center; } figure img { width:84px; height:84px; image-rendering:pixelated; margin:0 2px; border-radius:4px; }
section { margin:0 0 1rem; padding:1rem 1.25rem; } .leaks h2::before { content:'leaks: '; color:#b91c1c; } .holds h2::before { content:'holds: '; color:var(--good); }
`;

/** The page. */
export function inversionPage(result: InversionResult): string {
  const { dataset, shape, epsilon, delta, noiseMultiplier, scenes } = result;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>What an update shows</title><style>${STYLE}${LOOK}</style></head>
<body><main><h1>What an update shows</h1>
<p class="motto">The gradient of a first dense layer is a sum of the images it was computed from.</p>
<p>Private images of ${escapeHtml(dataset)} on the left, the attacker’s best guess on the right, with their correlation. The attack is the same everywhere: columns of the first layer’s
update, the most picture-like first, at most 16 different ones. An image counts as recovered at a correlation above 0.95. Nobody tells the attacker which guess is right; the
report picks the best one for each image, which favours the attacker.</p>
${scenes.map((scene) => sceneHtml(scene, shape)).join('\n')}
<section><h2>What this says</h2><p>An update in the clear can be the image itself, and larger batches and more steps blur it without making it safe. Under secure aggregation what one participant sends
is noise to the coordinator, and a sum blends everybody’s images: with very few images in it a picture may still be recognised, though not whose it is. Differential privacy bounds what
any attack can say about one participant: here (ε, δ) = (${epsilon}, ${delta}) for one round, noise multiplier ${noiseMultiplier.toFixed(2)}, neighbours differing in one participant. An attack that
fails proves nothing by itself; the bound does.</p></section>
</main></body></html>
`;
}
