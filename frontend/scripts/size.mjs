// Fails the build when the page's JavaScript, gzipped, grows past its limit.
import { readFileSync, readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const LIMIT_KB = 100;
const dir = new URL('../dist/assets/', import.meta.url);

let total = 0;
for (const name of readdirSync(dir).filter((n) => n.endsWith('.js'))) {
  total += gzipSync(readFileSync(new URL(name, dir)), { level: 9 }).length;
}
const kb = total / 1000;
console.log(`JavaScript, gzipped: ${kb.toFixed(1)} kB of ${LIMIT_KB} kB`);
if (kb > LIMIT_KB) {
  console.error(`The page is ${(kb - LIMIT_KB).toFixed(1)} kB over its limit.`);
  process.exit(1);
}
