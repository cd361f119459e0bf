/**
 * Why a suite cannot run here, as it is. Where `REQUIRE_TEST_PACKAGES` is set a missing package is an error instead: a
 * machine that was told to install them all must not pass because it could not.
 * @throws Error with the reason where packages are required
 */
export function lacking(reason: string): string {
  if (process.env.REQUIRE_TEST_PACKAGES)
    throw new Error(
      `${reason}. REQUIRE_TEST_PACKAGES is set: scripts/test-packages.sh says why it is missing`,
    );
  return reason;
}
