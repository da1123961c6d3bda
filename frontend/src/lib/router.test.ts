import { expect, it } from 'vitest';
import { router } from './router.svelte';

it('asks before unsaved edits are left, and leaves only when told to', () => {
  let unsaved = true;
  const release = router.guard(() => unsaved);
  router.go({ name: 'settings' });
  expect(router.current.name).toBe('connections');
  expect(router.asked).toEqual({ name: 'settings' });

  router.stay();
  expect(router.asked).toBeUndefined();

  router.go({ name: 'sandbox' });
  router.discard();
  expect(router.current.name).toBe('sandbox');
  expect(router.asked).toBeUndefined();

  unsaved = false;
  release();
  router.go({ name: 'settings' });
  expect(router.current.name).toBe('settings');
});

it('comes back after a lock to the same place, and has it start nothing', () => {
  router.go({ name: 'registration', id: 'r1', section: 'connection', connect: true });
  const release = router.guard(() => true);
  router.go({ name: 'settings' });
  release();
  router.suspend();
  expect(router.asked).toBeUndefined();
  expect(router.current).toEqual({ name: 'registration', id: 'r1' });
});
