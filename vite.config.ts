/**
 * Builds the join page that a coordinator serves: one HTML file, hashed assets beside it, nothing from elsewhere.
 * It must run under the page's content security policy, so nothing is inlined and nothing is evaluated.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));

/** The variants that a page needs: with and without SIMD. Threads are the pool's, not the engine's. */
const WASM = ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm'];

/**
 * Puts the WebAssembly files of tfjs into a folder named by their content, since tfjs looks for them by their own names, and
 * tells the page where they are (`__WASM_FOLDER__`, relative to it).
 */
function tfjsWasm(): Plugin {
  const folder = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
  const files = WASM.map((name) => ({ name, bytes: readFileSync(join(folder, name)) }));
  const hash = createHash('sha256');
  for (const { bytes } of files) hash.update(bytes);
  const place = `assets/tfjs-${hash.digest('hex').slice(0, 12)}/`;
  return {
    name: 'tfjs-wasm',
    config: () => ({ define: { __WASM_FOLDER__: JSON.stringify(place) } }),
    generateBundle() {
      for (const { name, bytes } of files) this.emitFile({ type: 'asset', fileName: `${place}${name}`, source: bytes });
    },
  };
}

export default defineConfig({
  root: join(here, 'client/browser/page'),
  // relative, so that the page also works below a path of a reverse proxy
  base: './',
  publicDir: false,
  plugins: [tfjsWasm()],
  build: {
    outDir: join(here, 'dist/client/browser/page'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
  },
  worker: { format: 'es' },
});
