import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { PageHeader } from "../components/PageHeader";
import { Empty } from "../components/States";

/** What stands where no page is. */
export function Missing() {
  return (
    <>
      <PageHeader title="No such page" />
      <Empty title="There is nothing at this address">
        <Anchor component={Link} to="/">Go to the overview</Anchor>
      </Empty>
    </>
  );
}
