# Everything comes from the distribution's packages (scripts/install-deps.sh); nothing is downloaded here.
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)
find_package(CLI11 REQUIRED)
