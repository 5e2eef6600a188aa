import { NavLink } from "react-router";
import { Icon } from "../components/Icon";
import { navigation } from "./registry";
import { useSession } from "./session";

/** The pages by group. */
export function Navigation() {
  const session = useSession();
  return navigation(session.operator_pages).map(([group, pages]) => (
    <div key={group} role="group" aria-label={group}>
      <p className="navigation-group" aria-hidden="true">{group}</p>
      {pages.map(({ id, path, title, icon }) => (
        <NavLink key={id} to={path} end={path === "/"} className="navigation-link">
          {icon && <Icon name={icon} />}
          {title}
        </NavLink>
      ))}
    </div>
  ));
}
