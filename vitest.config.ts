import { availableParallelism } from 'node:os';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { BROWSER_FLAGS, findBrowser } from './scripts/browser.mjs';

const executablePath = findBrowser();

/** WebGPU without a graphics card: on the processor, by the adapter that Chromium brings. */
const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];
const flags = [...BROWSER_FLAGS.filter((flag) => flag !== '--disable-gpu'), ...SOFTWARE_GPU];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // a busy machine is no failure: what is polled for has as long as a test
    expect: { poll: { timeout: 20_000 } },
    // tests of commands and servers wait more than they compute: also on two cores, two at a time
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/browser/**'],
          pool: 'forks',
        },
      },
      {
        extends: true,
        // found out while tests run, a dependency makes the page reload and a test fail
        optimizeDeps: {
          include: [
            'fast-png',
            'fft.js',
            'shamir-secret-sharing',
            'umap-js',
            'zod',
            '@tensorflow/tfjs',
            '@tensorflow/tfjs-backend-wasm',
            'onnxruntime-web/wasm',
            'onnxruntime-web/jspi',
          ],
        },
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({
              launchOptions: { args: flags, ...(executablePath ? { executablePath } : {}) },
            }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
});
