/** What is one's own: the name, the password, the sessions, how the portal looks and which time it shows. */
import { SimpleGrid } from "@mantine/core";
import { PageHeader } from "../../components/PageHeader";
import { Appearance } from "./account/Appearance";
import { NameForm } from "./account/NameForm";
import { PasswordForm } from "./account/PasswordForm";
import { SessionList } from "./account/SessionList";

export default function Account() {
  return (
    <>
      <PageHeader title="Account" />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <div className="stacked">
          <NameForm />
          <Appearance />
        </div>
        <PasswordForm />
      </SimpleGrid>
      <SessionList />
    </>
  );
}
