//! Brazil, Spain, France, Mexico.

use super::{FRENCH_TITLES, Nation, Postcode, TITLES, list};

pub(super) fn nations() -> Vec<Nation> {
    vec![
        Nation {
            code: "BR",
            country: "Brazil",
            titles: list(TITLES),
            men: list(
                "Miguel|Arthur|Heitor|Davi|João|Caio|Thiago|Vinícius|Murilo|Otávio|César|Antônio|Enzo|Ícaro\
                |Levi|Ruan",
            ),
            women: list(
                "Alice|Júlia|Laura|Manuela|Luísa|Heloísa|Antônia|Letícia|Iara|Conceição|Débora|Flávia|Tainá\
                |Yara|Bruna|Mariana",
            ),
            last: list(
                "Silva|Santos|Oliveira|Souza|Araújo|Gonçalves|Conceição|da Costa|Ribeiro|Almeida|Freitas\
                |Cardoso|Teixeira|Moura|das Neves|da Rocha|Barros|Peixoto|Rezende|Nogueira",
            ),
            streets: list(
                "Rua das Flores|Avenida Brasil|Rua São João|Rua da Paz|Travessa dos Martírios\
                |Rua Dom Pedro II|Avenida Getúlio Vargas|Rua Bela Vista|Rua Três|Rua Pará ",
            ),
            cities: list(
                "São Paulo|Rio de Janeiro|Belém|Maceió|Goiânia|Ji-Paraná|Santa Bárbara d'Oeste|Olinda\
                |Brasília|Florianópolis|Uberlândia|Macapá|Niterói",
            ),
            states: list("São Paulo|Bahia|Pará|Ceará|Paraná|Rondônia|Minas Gerais|Espírito Santo"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "(##) ####-####",
            cell: "(##) ####-####",
            id: Some(("CPF", "###.###.###-##")),
        },
        Nation {
            code: "ES",
            country: "Spain",
            titles: list(TITLES),
            men: list(
                "Hugo|Martín|Álvaro|Iván|Íñigo|Jesús|Óscar|José|Raúl|Sergio|Joaquín|Andrés|Rubén|Xavier|Iker\
                |Víctor",
            ),
            women: list(
                "Lucía|María|Begoña|Inés|Ángela|Nuria|Mónica|Rocío|Concepción|Sofía|Pilar|Ainhoa|Montserrat\
                |Noelia|Emilia|Marta",
            ),
            last: list(
                "García|Fernández|González|Rodríguez|López|Martínez|Sánchez|Pérez|Gómez|Muñoz|Ibáñez|Peña\
                |Nuñez|Méndez|Vega|Castro|Marín|Soler|Cano|Ortega",
            ),
            streets: list(
                "Calle Mayor|Calle de Alcalá|Gran Vía|Paseo de la Castellana|Avenida de América\
                |Calle de Toledo|Ronda de Toledo|Calle del Prado|Plaza de España|Calle de Ángel García ",
            ),
            cities: list(
                "Madrid|Barcelona|Sevilla|Cádiz|Málaga|Logroño|A Coruña|L'Hospitalet de Llobregat|Ávila\
                |Castellón de la Plana|Gijón|Mérida|Córdoba",
            ),
            states: list(
                "Andalucía|Cataluña|Aragón|Castilla y León|Comunidad Valenciana|País Vasco|Islas Baleares\
                |Ceuta",
            ),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "9##-###-###",
            cell: "6##-###-###",
            id: Some(("DNI", "########-@")),
        },
        Nation {
            code: "FR",
            country: "France",
            titles: list(FRENCH_TITLES),
            men: list(
                "Gabriel|Raphaël|Théo|Léo|Noé|Jérôme|François|Benoît|Gaël|Loïc|Étienne|Aurélien|Clément|Mathéo\
                |Rémi|Sacha",
            ),
            women: list(
                "Louise|Chloé|Zoé|Anaïs|Léonie|Héloïse|Inès|Françoise|Maëlys|Aurore|Clémence|Océane|Solène\
                |Eléonore|Margaux|Noémie",
            ),
            last: list(
                "Martin|Bernard|Lefèvre|Lemaître|François|D'Angelo|Gérard|Chevalier|Hervé|Pélissier|Garçon\
                |Noël|Roux|Lecomte|Le Gall|Dubois|Aubert|Moulin|Renard|Barbier",
            ),
            streets: list(
                "Rue de la Mairie|Place de l'Église|Rue du Château|Avenue de la République|Rue des Écoles\
                |Quai Charles-de-Gaulle|Rue de L'Abbé-Roger-Derry|Rue Bossuet|Place du 22 Novembre 1943\
                |Montée Saint-Barthélémy",
            ),
            cities: list(
                "Paris|Lyon|Besançon|Saint-Étienne|Orléans|Nîmes|Villeneuve-d'Ascq|Créteil|Angers\
                |L'Haÿ-les-Roses|Béziers|Nice |Brest",
            ),
            states: list("Finistère|Hérault|Côte-d'Or|Val-d'Oise|Puy-de-Dôme|Rhône|Seine-et-Marne|Réunion"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "0#-##-##-##-##",
            cell: "06-##-##-##-##",
            id: Some(("INSEE", "#NNaN######## ##")),
        },
        Nation {
            code: "MX",
            country: "Mexico",
            titles: list(TITLES),
            men: list(
                "Santiago|Mateo|Sebastián|Leonardo|Emiliano|Ángel|Jesús|Joaquín|Cuauhtémoc|Ramón|Héctor|Tomás\
                |Adán|Gonzalo|Elías|Efraín",
            ),
            women: list(
                "Ximena|Valentina|Guadalupe|Renata|Itzel|Lucía|Xóchitl|Belén|Citlali|Jazmín|Perla|Ofelia\
                |Rosario|Esperanza|Noemí|Socorro",
            ),
            last: list(
                "Hernández|García|Martínez|González|López|Rodríguez|Ramírez|Núñez|Zúñiga|Avilés|Cisneros\
                |Olivares|Gaytán|Barrera|Montaño|Rangel|Treviño|Quiñones|Ulloa|Briseño",
            ),
            streets: list(
                "Avenida Insurgentes|Calle Hidalgo|Calzada de Tlalpan|Callejón del Beso\
                |Boulevard Díaz Ordaz|Paseo de la Reforma|Privada Jiménez|Andador 5 de Mayo|Eje vial Sur\
                |Corredor Norte",
            ),
            cities: list(
                "Ciudad de México|Guadalajara|Monterrey|Mérida|León|San Luis Potosí|Cancún|Tonalá|Oaxaca\
                |Acámbaro|Xalapa|Tepic |Ciudad Juárez",
            ),
            states: list("Jalisco|Nuevo León|Yucatán|Michoacán|Querétaro|Quintana Roo|Chiapas|México"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "(###) ### ####",
            cell: "(###) ### ####",
            id: Some(("NSS", "## ## ## #### #")),
        },
    ]
}
