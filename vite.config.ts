/**
 * Builds the join page that a coordinator serves: one HTML file, hashed assets beside it, nothing from elsewhere.
 * It must run under the page's content security policy, so nothing is inlined and nothing is evaluated.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { defaultClientConditions, defineConfig, type Plugin } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));

/** tfjs with and without SIMD; ONNX Runtime's module, and the one that knows GPUs, which is loaded only where there is one. */
const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  '@tensorflow/tfjs-backend-wasm': ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm'],
  'onnxruntime-web/wasm': [
    'ort-wasm-simd-threaded.mjs',
    'ort-wasm-simd-threaded.wasm',
    'ort-wasm-simd-threaded.jspi.mjs',
    'ort-wasm-simd-threaded.jspi.wasm',
  ],
};

/**
 * Puts the engines' WebAssembly files into a folder named by their content, since both look for them by their own names, and
 * tells the page where they are (`__WASM_FOLDER__`, relative to it). They go compressed, to a quarter of their size; the
 * coordinator serves them so.
 */
function wasmFolder(): Plugin {
  const { resolve } = createRequire(import.meta.url);
  const files = Object.entries(RUNTIMES).flatMap(([entry, names]) =>
    names.map((name) => ({ name, bytes: readFileSync(join(dirname(resolve(entry)), name)) })),
  );
  const hash = createHash('sha256');
  for (const { bytes } of files) hash.update(bytes);
  const place = `assets/wasm-${hash.digest('hex').slice(0, 12)}/`;
  return {
    name: 'wasm-folder',
    config: () => ({ define: { __WASM_FOLDER__: JSON.stringify(place) } }),
    generateBundle() {
      for (const { name, bytes } of files) {
        const packed = name.endsWith('.wasm');
        const source = packed ? gzipSync(bytes, { level: 9 }) : bytes;
        this.emitFile({ type: 'asset', fileName: `${place}${name}${packed ? '.gz' : ''}`, source });
      }
    },
  };
}

export default defineConfig({
  root: join(here, 'client/browser/page'),
  // relative, so that the page also works below a path of a reverse proxy
  base: './',
  publicDir: false,
  plugins: [wasmFolder()],
  // the build of onnxruntime-web that leaves its WebAssembly module where `runtimePath` says
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
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
