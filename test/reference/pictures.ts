/** PNG files of every kind with the values that a decoder must find in them. Node only; see fixtures/images.ts for browsers. */
import { stream } from '../../protocol/random.ts';
import { encodePng, type PngPicture } from './png.ts';

export interface Picture {
  readonly name: string;
  readonly file: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** In [0, 1], channels interleaved. */
  readonly values: readonly number[];
}

const WIDTH = 7;
const HEIGHT = 5;
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 } as const;

const PALETTE = Array.from({ length: 16 }, (_, i) => [17 * i, 255 - 3 * i, (i * 91) % 256] as const);

type Kind = Pick<PngPicture, 'bits' | 'colour' | 'interlaced'> & { readonly transparent?: boolean };

/** Samples at random, but with the smallest and largest value and, for tRNS, some of the transparent colour. */
function samplesOf({ bits, colour }: Kind, name: string): number[] {
  const rng = stream(name, 'picture');
  const top = colour === 3 ? Math.min(2 ** bits, PALETTE.length) : 2 ** bits;
  const samples = Array.from({ length: WIDTH * HEIGHT * CHANNELS[colour] }, () => rng.below(top));
  samples[0] = 0;
  samples[1] = top - 1;
  return samples;
}

const bigEndian = (values: readonly number[]): number[] => values.flatMap((value) => [value >> 8, value & 255]);

function expected(kind: Kind, samples: readonly number[]): { channels: number; values: number[] } {
  const { bits, colour, transparent } = kind;
  const channels = CHANNELS[colour];
  const top = 2 ** bits - 1;
  if (colour === 3) {
    const alphas = transparent ? [0, 128] : [];
    const values = samples.flatMap((index) => [
      ...PALETTE[index]!.map((value) => value / 255),
      ...(transparent ? [(alphas[index] ?? 255) / 255] : []),
    ]);
    return { channels: transparent ? 4 : 3, values };
  }
  const values = samples.map((sample) => sample / top);
  if (!transparent) return { channels, values };
  const key = samples.slice(0, channels).join();
  const withAlpha = Array.from({ length: WIDTH * HEIGHT }, (_, p) => {
    const pixel = samples.slice(p * channels, (p + 1) * channels);
    return [...pixel.map((sample) => sample / top), pixel.join() === key ? 0 : 1];
  });
  return { channels: channels + 1, values: withAlpha.flat() };
}

function picture(kind: Kind): Picture {
  const { bits, colour, interlaced = false, transparent = false } = kind;
  const names = { 0: 'grey', 2: 'rgb', 3: 'palette', 4: 'grey-alpha', 6: 'rgba' } as const;
  const name = `${names[colour]}-${bits}${transparent ? '-trns' : ''}${interlaced ? '-adam7' : ''}.png`;
  const samples = samplesOf(kind, name);
  const trns = colour === 3 ? [0, 128] : bigEndian(samples.slice(0, CHANNELS[colour]));
  const file = encodePng({
    width: WIDTH,
    height: HEIGHT,
    bits,
    colour,
    samples,
    interlaced,
    ...(colour === 3 ? { palette: PALETTE.slice(0, 2 ** bits) } : {}),
    ...(transparent ? { transparency: trns } : {}),
  });
  return { name, file, width: WIDTH, height: HEIGHT, ...expected(kind, samples) };
}

const KINDS: readonly Kind[] = [
  ...([1, 2, 4, 8, 16] as const).flatMap((bits) => [
    { bits, colour: 0 } as const,
    { bits, colour: 0, interlaced: true } as const,
    { bits, colour: 0, transparent: true } as const,
  ]),
  ...([8, 16] as const).flatMap((bits) =>
    ([2, 4, 6] as const).flatMap((colour) => [
      { bits, colour },
      { bits, colour, interlaced: true },
    ]),
  ),
  ...([8, 16] as const).map((bits) => ({ bits, colour: 2, transparent: true }) as const),
  ...([1, 2, 4, 8] as const).flatMap((bits) => [
    { bits, colour: 3 } as const,
    { bits, colour: 3, interlaced: true } as const,
    { bits, colour: 3, transparent: true } as const,
  ]),
];

export const pngPictures = (): Picture[] => KINDS.map(picture);
