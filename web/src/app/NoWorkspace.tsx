import { Button, Text } from "@mantine/core";
import { PublicPage } from "./PublicPage";
import { useAnySession } from "./session";
import { signOut } from "./signOut";

/** For who is signed in and a member of no workspace (any more). */
export function NoWorkspace() {
  const { user } = useAnySession();
  return (
    <PublicPage title="No workspace">
      <Text mb="md">
        {user?.email} is a member of no workspace, so there is nothing to show. Ask somebody of the workspace, or the operator, for an invitation,
        or to enable your membership again.
      </Text>
      <Button fullWidth variant="default" onClick={() => void signOut()}>Sign out</Button>
    </PublicPage>
  );
}
