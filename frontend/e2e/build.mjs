// Builds what the page's tests drive: the product for development, which serves its page with working bindings to a
// browser, and the page itself as it is shipped.
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const frontend = fileURLToPath(new URL('..', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
const run = (command, args, cwd) => execFileSync(command, args, { cwd, stdio: 'inherit' });

// WebKitGTK 4.1 needs a build tag; 4.0, on older systems, needs none.
const webkit = spawnSync('pkg-config', ['--exists', 'webkit2gtk-4.1']).status === 0 ? ',webkit2_41' : '';
run('npx', ['vite', 'build', '--logLevel', 'warn', '--outDir', '../.tools/e2e/page', '--emptyOutDir'], frontend);
run('go', ['build', '-tags', `dev${webkit}`, '-o', '.tools/e2e/chartkey', '.'], root);
