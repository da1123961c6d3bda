import { defineConfig } from '@playwright/test';
import { chromium } from './e2e/harness/chromium';

export default defineConfig({
  testDir: 'e2e',
  // Sign-ins share the ports of their redirect URIs, and the sandbox has one port.
  workers: 1,
  forbidOnly: true,
  // A shared machine can stall for seconds. A second try tells that from a defect, and the list says "flaky".
  retries: process.env.CI ? 1 : 0,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: [['list'], ['./e2e/harness/closing.ts']],
  use: {
    launchOptions: chromium,
    // The window's own size, as it opens.
    viewport: { width: 1120, height: 760 },
    locale: 'en-GB',
    contextOptions: { reducedMotion: 'reduce' },
    actionTimeout: 20_000,
    navigationTimeout: 30_000,
    screenshot: 'only-on-failure',
  },
  projects: [
    { name: 'page', testMatch: 'page/*.test.ts', outputDir: 'test-results/page' },
    { name: 'window', testMatch: 'window/*.test.ts', outputDir: 'test-results/window', timeout: 240_000, use: { screenshot: 'off' } },
  ],
});
