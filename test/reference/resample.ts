/** Resizing by its definition, one output pixel at a time over all source pixels: slow and plain. */

/** [height, width, channels], values in [0, 1]. */
export interface PlainImage {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly at: (y: number, x: number, c: number) => number;
}

/** Triangle weights of all source pixels for a point on an axis, normalised. */
function weights(size: number, centre: number, scale: number): number[] {
  const reach = Math.max(1, scale);
  const raw = Array.from({ length: size }, (_, j) => Math.max(0, 1 - Math.abs(j + 0.5 - centre) / reach));
  const sum = raw.reduce((a, b) => a + b);
  return raw.map((weight) => weight / sum);
}

export function resizeByDefinition(
  image: PlainImage,
  [height, width]: readonly [number, number],
  resize: 'cover' | 'contain',
): number[] {
  const out: number[] = [];
  const ratio = Math[resize === 'cover' ? 'max' : 'min'](height / image.height, width / image.width);
  const [innerHeight, innerWidth] =
    resize === 'cover'
      ? [height, width]
      : [image.height, image.width].map((size) => Math.max(1, Math.round(size * ratio)));
  const [top, left] = [Math.floor((height - innerHeight!) / 2), Math.floor((width - innerWidth!) / 2)];
  const yScale = resize === 'cover' ? 1 / ratio : image.height / innerHeight!;
  const xScale = resize === 'cover' ? 1 / ratio : image.width / innerWidth!;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inside = y >= top && y < top + innerHeight! && x >= left && x < left + innerWidth!;
      const cy = resize === 'cover' ? image.height / 2 + (y + 0.5 - height / 2) * yScale : (y - top + 0.5) * yScale;
      const cx = resize === 'cover' ? image.width / 2 + (x + 0.5 - width / 2) * xScale : (x - left + 0.5) * xScale;
      for (let c = 0; c < image.channels; c++) {
        let sum = 0;
        if (inside) {
          const wy = weights(image.height, cy, yScale);
          const wx = weights(image.width, cx, xScale);
          wy.forEach((a, j) => {
            wx.forEach((b, i) => {
              sum += a * b * image.at(j, i, c);
            });
          });
        }
        out.push(sum);
      }
    }
  }
  return out;
}
