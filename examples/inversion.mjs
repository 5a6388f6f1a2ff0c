// What a coordinator can make of updates: `npm run example:inversion [-- inversion.html]`. Recovers private images from one update in the
// clear, fails on masked and noised ones, and writes the pictures side by side.
import { writeFile } from 'node:fs/promises';
import { createPool } from 'tacit/learning';
import { inversionPage, runInversion } from 'tacit/simulations';

const [file = 'inversion.html', size] = process.argv.slice(2);
await writeFile(file, '').catch(({ code }) => {
  console.error(
    `error: cannot write ${file} (${code}). Name a file in a folder that exists: npm run example:inversion -- FILE`,
  );
  process.exit(2);
});
const pool = await createPool({ workers: 1 });
try {
  const result = await runInversion({ pool, ...(size === 'quick' ? { batches: [1, 8], steps: [16] } : {}) });
  for (const { title, recovered, correlation, chance } of result.scenes) {
    const percent = `${(100 * recovered).toFixed(0)} %`.padStart(5);
    console.log(
      `${percent} recovered, correlation ${correlation.toFixed(2)} (strangers ${chance.toFixed(2)})  ${title}`,
    );
  }
  await writeFile(file, inversionPage(result));
  console.log(`pictures: ${file}`);
} finally {
  await pool.close();
}
